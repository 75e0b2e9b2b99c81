"""Binds the LMDB 0.9 inside the `lmdb` wheel, by name, once, at import.

The wheel exports its bundled 0.9 engine from its extension module, which its documentation does
not promise: hence the exact pin in pyproject.toml, the checks here, and no other file that knows.
Opening the library does not import the Python package, which may be imported or not.
"""

import importlib.machinery
import importlib.util
import os


cdef extern from "<dlfcn.h>" nogil:
    enum:
        RTLD_NOW
        RTLD_LOCAL
    void *dlopen(const char *path, int mode) noexcept
    char *dlerror() noexcept

REMEDY = "python -m pip install 'lmdb==3.0.*'"


def _library_path():
    """Return the path of the wheel's extension module."""
    package = importlib.util.find_spec("lmdb")
    if package is None or not package.submodule_search_locations:
        raise ImportError(f"the lmdb wheel is not installed; run: {REMEDY}")
    module = importlib.machinery.PathFinder.find_spec(
        "cpython", list(package.submodule_search_locations))
    if module is None or not module.origin:
        raise ImportError(
            f"the lmdb package at {package.origin} has no compiled module; run: {REMEDY}")
    return module.origin


def _bind(path):
    """Fill `mdb` from the library at path; return its (major, minor, patch)."""
    cdef void *library
    cdef const char *missing
    cdef int major = 0, minor = 0, patch = 0
    library = dlopen(os.fsencode(path), RTLD_NOW | RTLD_LOCAL)
    if library == NULL:
        raise ImportError(f"{dlerror().decode(errors='replace')}; run: {REMEDY}")
    missing = mdb09_resolve(library, &mdb)
    if missing != NULL:
        raise ImportError(
            f"{path} does not export {missing.decode()}: another version of the lmdb wheel; "
            f"run: {REMEDY}")
    mdb.version(&major, &minor, &patch)
    if (major, minor) != (0, 9):
        raise ImportError(
            f"{path} carries LMDB {major}.{minor}.{patch}, the journal needs 0.9; run: {REMEDY}")
    return major, minor, patch


LIBRARY = _library_path()
VERSION = _bind(LIBRARY)
