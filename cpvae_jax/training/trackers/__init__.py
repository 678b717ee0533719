"""Callbacks that show a training in other programs, one file each.

They need packages of their own, which are imported when training starts. Only the first of several
processes writes.
"""
