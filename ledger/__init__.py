"""The crash ledger: what senders were told is compared with what the desk has, after everything was killed under it.

A tool of the project and no part of the product: `make ledger`, or `python -m ledger`.
"""
