"""What the tests of devices share with those of the command line."""

from tests.integration.conftest import _in_a_folder_of_its_own, small_run, small_table

__all__ = ["_in_a_folder_of_its_own", "small_run", "small_table"]
