"""Slow loop versions of the methods, written from the papers and used only by the tests."""
