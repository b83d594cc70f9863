"""Export a PyTorch cross-encoder to an ONNX folder that loads without torch, and measure how far the two agree."""
