"""The console: where an engineer sees what is wrong on which site, why, and does something about it.

NiceGUI pages beside the API in the same process. Nothing is fetched from elsewhere: every script, style and font comes
out of the packages, and the browser is told to load nothing else (Content-Security-Policy).

Every page is behind a login with a token of the API, whose name stands in every act. Databases and the series store are
asked in threads of the console's own, so that a slow one holds up neither the other nor the API.
"""
