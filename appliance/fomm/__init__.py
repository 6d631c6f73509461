"""The First Order Motion Model: the way the original piece made its frames, on a workstation."""
