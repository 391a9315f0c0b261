"""x."""
from ..findings import Finding
from .columns import Columns
def find_echoes(columns: Columns) -> list[Finding]:
    return []
