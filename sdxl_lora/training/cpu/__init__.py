"""Kernels that only training on a CPU uses: what they compute, diffusers' modules compute too.

`memory` (freed memory is kept), `packed` (frozen layers laid out for oneDNN once), `attention` (with its LoRA, forward
and backward written out), `blocks` (residual and transformer blocks likewise). `components` says when they are used;
every one of them has a test against diffusers' own modules.
"""
