# The search on CamVid, to a number of milliseconds in onnxruntime with one
# thread: about a quarter of what the supernet takes on the processor of
# docs/results.md. Before it trains, it measures for about four minutes.
#
#   python tools/train.py \
#       configs/mmseg/camvid/hrnas-ms_1xb8-1200_camvid-192x256.py
_base_ = './hrnas_1xb8-1200_camvid-192x256.py'
custom_hooks = _base_.custom_hooks
custom_hooks[-1].update(
    target='5.5ms', latency=dict(backend='onnxruntime', threads=1)
)
