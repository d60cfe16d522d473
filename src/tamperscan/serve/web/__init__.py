"""The reader's page and its API: what ``tamperscan serve`` gives to a browser."""
