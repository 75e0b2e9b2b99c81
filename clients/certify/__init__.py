"""Certification of a vendor's terminal: a real server, a bad line, a script, and the journal.

``campus`` is the campus every run is made on, ``proxy`` the line between terminal and server, ``till``
the terminal under test, ``cases`` what it is asked to do, ``report`` what comes of it.
"""
