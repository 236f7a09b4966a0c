"""What the tests of the benchmark share with those of the command line."""

from tests.integration.conftest import _in_a_folder_of_its_own, small_run, small_table

__all__ = ["_in_a_folder_of_its_own", "small_run", "small_table"]
