"""The pure core: bytes in, specification out."""
