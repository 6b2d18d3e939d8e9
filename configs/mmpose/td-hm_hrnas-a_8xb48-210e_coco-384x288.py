# The paper's search on COCO keypoints (Table 4), to the budget of HR-NAS-A at
# 384x288: 0.35 G multiply-adds. The supernet has 13.5 G. The paper reports
# 1.1 M parameters and 65.7 AP with detector boxes.
#
#   tools/dist_train.sh configs/mmpose/td-hm_hrnas-a_8xb48-210e_coco-384x288.py 8
_base_ = 'td-hm_hrnas-a_8xb48-210e_coco-256x192.py'
codec = dict(
    type='MSRAHeatmap', input_size=(288, 384), heatmap_size=(72, 96), sigma=3
)
model = dict(head=dict(decoder=codec))
train_pipeline = _base_.train_pipeline
val_pipeline = _base_.val_pipeline
for step in (*train_pipeline, *val_pipeline):
    if step.type == 'TopdownAffine':
        step.input_size = codec['input_size']
    elif step.type == 'GenerateTarget':
        step.encoder = codec
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
custom_hooks = _base_.custom_hooks
custom_hooks[-1].update(target='0.35G', input_shape=(384, 288))
del step
