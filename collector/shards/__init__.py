"""Who takes in what: the fixed shards, their names, their leases, and who may begin on a database."""
