"""Messages of known protocols, made by other people's implementations: a training set that anyone can rebuild."""
