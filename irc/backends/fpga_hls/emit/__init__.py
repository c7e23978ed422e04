"""Text of a project: C++, scripts and a guide. Nothing edits a text after it was written."""
