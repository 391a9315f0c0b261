"""The statistics monoid: counts over all messages, mergeable in any order, and the samples that inference reads."""

from .analyzer import StatisticalAnalyzer
from .message_statistics import MessageStatistics
from .summary import StatisticsSummary, summarise

__all__ = ["MessageStatistics", "StatisticalAnalyzer", "StatisticsSummary", "summarise"]
