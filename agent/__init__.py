"""The program on the customer's site: polls what the consent allows and delivers it, whatever happens in between."""
