"""What left the site, for the customer to read: written as it leaves, kept after the spool forgot it."""
