"""The areas' records on SQL, one database an area."""
