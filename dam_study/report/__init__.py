"""Pages, tables and figures over the cells of the grid."""
