"""ONNX files to IR. They are read as data: no code of a file runs, no file outside of the model's folder is opened."""
