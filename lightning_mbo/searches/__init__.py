"""What a search is: a step by what an oracle says, without a trainer."""

from lightning_mbo.searches.ascent import AscentSearch
from lightning_mbo.searches.base import Search
from lightning_mbo.searches.inversion import InversionSearch
from lightning_mbo.searches.listed import ListSearch
from lightning_mbo.searches.run import design
from lightning_mbo.searches.sampling import SamplingSearch

__all__ = ["AscentSearch", "InversionSearch", "ListSearch", "SamplingSearch", "Search", "design"]
