"""
Small quantized files by ONNX Runtime's own quantizers, and outputs of those that quantize at run time by ONNX's reference
evaluator. Run in this folder with onnx 1.23, onnxruntime 1.30 and onnx_ir.
"""
import json
import numpy as np, onnx, onnxruntime as ort
from onnx import helper as h, TensorProto as T, numpy_helper as nh
from onnxruntime.quantization import quantize_static, quantize_dynamic, QuantFormat, QuantType, CalibrationDataReader
from onnxruntime.quantization.shape_inference import quant_pre_process
rng=np.random.default_rng(3)
def init(name,*shape,scale=None):
    s=scale or 1/np.sqrt(np.prod(shape[1:]) if len(shape)>1 else 4)
    return nh.from_array((rng.standard_normal(shape)*s).astype(np.float32),name)
def cnn():
    nodes=[h.make_node('Conv',['x','w1','b1'],['c1'],'conv1',pads=[1]*4,strides=[1,1],kernel_shape=[3,3]),
      h.make_node('Relu',['c1'],['r1'],'relu1'),
      h.make_node('MaxPool',['r1'],['p1'],'pool1',kernel_shape=[2,2],strides=[2,2]),
      h.make_node('Conv',['p1','w2','b2'],['c2'],'conv2',pads=[1]*4,kernel_shape=[3,3]),
      h.make_node('Relu',['c2'],['r2'],'relu2'),
      h.make_node('Add',['r2','p1'],['a2'],'add2'),
      h.make_node('Conv',['a2','w3','b3'],['c3'],'conv3',pads=[1]*4,kernel_shape=[3,3],group=8),
      h.make_node('LeakyRelu',['c3'],['l3'],'leaky',alpha=0.1),
      h.make_node('Concat',['l3','a2'],['k3'],'concat',axis=1),
      h.make_node('GlobalAveragePool',['k3'],['g'],'gap'),
      h.make_node('Flatten',['g'],['f'],'flat'),
      h.make_node('Gemm',['f','w4','b4'],['y'],'fc',transB=1)]
    g=h.make_graph(nodes,'cnn',[h.make_tensor_value_info('x',T.FLOAT,['N',3,12,12])],[h.make_tensor_value_info('y',T.FLOAT,['N',10])],
      [init('w1',8,3,3,3),init('b1',8,scale=.1),init('w2',8,8,3,3),init('b2',8,scale=.1),init('w3',8,1,3,3),init('b3',8,scale=.1),init('w4',10,16),init('b4',10,scale=.1)])
    return h.make_model(g,opset_imports=[h.make_opsetid('',17)],ir_version=8)
def mlp():
    nodes=[h.make_node('MatMul',['x','w1'],['m1'],'mm1'),h.make_node('Add',['m1','b1'],['a1'],'add1'),h.make_node('Tanh',['a1'],['t1'],'act'),
      h.make_node('MatMul',['t1','w2'],['m2'],'mm2'),h.make_node('Add',['m2','b2'],['y'],'add2')]
    g=h.make_graph(nodes,'mlp',[h.make_tensor_value_info('x',T.FLOAT,['N',6,64])],[h.make_tensor_value_info('y',T.FLOAT,['N',6,10])],
      [init('w1',64,48,scale=.12),init('b1',48,scale=.1),init('w2',48,10,scale=.15),init('b2',10,scale=.1)])
    return h.make_model(g,opset_imports=[h.make_opsetid('',21)],ir_version=10)
onnx.save(cnn(),'cnn.onnx'); onnx.save(mlp(),'mlp.onnx')
X=rng.standard_normal((64,3,12,12)).astype(np.float32); M=rng.standard_normal((64,6,64)).astype(np.float32)
class R(CalibrationDataReader):
    def __init__(s,x): s.it=iter([{'x':x[i:i+8]} for i in range(0,64,8)])
    def get_next(s): return next(s.it,None)
def st(src,data,name,**k):
    quantize_static(src,name,R(data),**k)
for n,f in (('qdq',QuantFormat.QDQ),('qop',QuantFormat.QOperator)):
    st('cnn.onnx',X,f'cnn-{n}-tensor.onnx',quant_format=f,per_channel=False,activation_type=QuantType.QUInt8,weight_type=QuantType.QInt8)
    st('cnn.onnx',X,f'cnn-{n}-channel.onnx',quant_format=f,per_channel=True,activation_type=QuantType.QInt8 if n=='qdq' else QuantType.QUInt8,weight_type=QuantType.QInt8)
st('cnn.onnx',X,'cnn-qdq-u8.onnx',quant_format=QuantFormat.QDQ,activation_type=QuantType.QUInt8,weight_type=QuantType.QUInt8)
st('cnn.onnx',X,'cnn-qdq-a16.onnx',quant_format=QuantFormat.QDQ,per_channel=True,activation_type=QuantType.QUInt16,weight_type=QuantType.QInt8,extra_options={'UseQDQContribOps':True})
st('mlp.onnx',M,'mlp-qdq-w4.onnx',quant_format=QuantFormat.QDQ,activation_type=QuantType.QUInt16,weight_type=QuantType.QInt4)
st('mlp.onnx',M,'mlp-qop.onnx',quant_format=QuantFormat.QOperator,activation_type=QuantType.QUInt8,weight_type=QuantType.QInt8)
quantize_dynamic('mlp.onnx','mlp-dynamic-u8.onnx',weight_type=QuantType.QUInt8)
quantize_dynamic('mlp.onnx','mlp-dynamic-channel.onnx',weight_type=QuantType.QInt8,per_channel=True)
quantize_dynamic('cnn.onnx','cnn-dynamic.onnx',weight_type=QuantType.QUInt8)
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer, DefaultWeightOnlyQuantConfig
for sym in (True,False):
    q=MatMulNBitsQuantizer(onnx.load('mlp.onnx'),block_size=32,is_symmetric=sym,accuracy_level=0); q.process(); q.model.save_model_to_file(f"mlp-nbits-{'sym' if sym else 'asym'}.onnx")
q=MatMulNBitsQuantizer(onnx.load('mlp.onnx'),algo_config=DefaultWeightOnlyQuantConfig(block_size=16,is_symmetric=True,quant_format=QuantFormat.QDQ)); q.process(); q.model.save_model_to_file("mlp-nbits-qdq.onnx")
# fused by the session
so=ort.SessionOptions(); so.graph_optimization_level=ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
so.optimized_model_filepath='cnn-qdq-tensor-optimized.onnx'; ort.InferenceSession('cnn-qdq-tensor.onnx',so)
# outputs by the reference, of the samples that quantized.test.ts makes
from onnx.reference import ReferenceEvaluator
shapes={'cnn':(64,3,12,12),'mlp':(64,6,64)}
out={}
for name in ('mlp-dynamic-u8','mlp-dynamic-channel','cnn-dynamic'):
    shape=shapes[name[:3]]; n=int(np.prod(shape))
    x=np.sin(np.arange(1,n+1)*12.9898)*43758.5453
    x=(3*(x-np.floor(x))-1.5).astype(np.float32).reshape(shape)
    r=ReferenceEvaluator(f'{name}.onnx')
    out[name]=[round(float(v),7) for k in range(8) for v in r.run(None,{'x':x[k:k+1]})[0].ravel()]
json.dump(out,open('references.json','w'))
