"""State that is spread over virtual shards: the shard, its journal, and the node that runs it."""
