"""x."""
from ..findings import Finding
from .columns import Columns
def find_constants(columns: Columns) -> list[Finding]:
    return []
