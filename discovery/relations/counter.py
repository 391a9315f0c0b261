"""x."""
from ..findings import Finding
from .columns import Columns
def find_counters(columns: Columns) -> list[Finding]:
    return []
