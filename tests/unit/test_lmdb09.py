"""The binding finds the wheel's LMDB, and says what to do when it is not what we need."""

import ctypes.util
import importlib.machinery
import importlib.util

import pytest

from ext import lmdb09


def test_the_bound_library_is_a_0_9():
    assert lmdb09.VERSION[:2] == (0, 9)
    assert "cpython" in lmdb09.LIBRARY


def test_another_library_is_refused_by_the_name_it_lacks():
    with pytest.raises(ImportError, match=r"mdb09_version.*pip install 'lmdb==3\.0\.\*'"):
        lmdb09._bind(ctypes.util.find_library("c"))


def test_a_file_that_is_no_library_is_refused(tmp_path):
    path = tmp_path / "cpython.so"
    path.write_bytes(b"not a library")
    with pytest.raises(ImportError, match="pip install"):
        lmdb09._bind(str(path))


def test_a_missing_wheel_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ImportError, match=r"not installed.*pip install"):
        lmdb09._library_path()


def test_a_wheel_without_compiled_module_is_refused(monkeypatch, tmp_path):
    spec = importlib.machinery.ModuleSpec("lmdb", None, origin="elsewhere", is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: spec)
    with pytest.raises(ImportError, match=r"no compiled module.*pip install"):
        lmdb09._library_path()
