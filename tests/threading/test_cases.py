"""Every case, under the threading backend."""

from tests.support.matrix import all_cases, written_cases

globals().update(all_cases())


def test_every_case_is_run_here(request):
    """The names that pytest finds here against those that are written in the files of tests/cases."""
    here = {name for name, value in globals().items() if name.startswith("test_") and callable(value)}
    assert here - {"test_every_case_is_run_here"} == written_cases()
