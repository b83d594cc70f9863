"""From a cross-encoder in PyTorch to an ONNX folder that loads without torch, and how far the two agree."""
