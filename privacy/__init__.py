"""The law of a region's data: requests of data subjects, erasure in every store, and the log of each act.

Rules are cited by article of the GDPR (Regulation (EU) 2016/679). The work in each store is that store's adapter
(contracts.erasable); `cli.erasables` lists them all.
"""
