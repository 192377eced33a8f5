"""Catalogues: a table of products becomes named pictures, with a manifest of what is in each.

tables.read(path) -> Table               CSV, XLSX or JSON lines, row by row; a row that cannot be read says why
columns.choose(names) -> mapping         which column fills which slot, field or name
planning.plan(table, settings) -> Plan   one item per request, and the rows that cannot be drawn
runs.Run(folder)                         the folder: asks for what is missing, names it, goes on after a crash
manifest, packing                        what is in the folder, for people and programs; all of it as a ZIP

Everything written lies in the run's folder. Knows nothing of pages or the command line.
"""
