"""tamperscan tells whether a medical scan was tampered with, where, and how sure that is."""
