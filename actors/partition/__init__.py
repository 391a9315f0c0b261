"""Ray on hosts whose network is cut while they ingest, and what became of the messages: ``make partition-test``."""
