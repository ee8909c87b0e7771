"""The processor: kernels compiled and kept on disk, worker processes that leave none behind."""
