"""The features' history: Parquet files, joined by DuckDB."""
