"""x."""
from ..findings import Finding
from .columns import Columns
def find_timestamps(columns: Columns) -> list[Finding]:
    return []
