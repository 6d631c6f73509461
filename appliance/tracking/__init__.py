"""From faces to the one viewer the sitter looks at."""
