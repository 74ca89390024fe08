"""The peer of bench/sensitivity.ts: Hessian-vector products by PyTorch's double backward, as PyHessian computes them.

    python3 torch_hvp.py model.onnx t10k-images-idx3-ubyte.gz t10k-labels-idx1-ubyte.gz [threads]

Needs torch, onnx and numpy (Debian: python3-torch, python3-onnx). Runs the ONNX file's operators in PyTorch on the first
256 images. Prints JSON: seconds of a forward pass, of forward and gradient, of one product with respect to all layers'
weights and with respect to one layer's (graph of the gradient kept, as PyHessian keeps it), and how far a Hutchinson probe
deviates, relative to the layer's trace, over 40 probes of all layers at once and 40 of each layer alone."""
import gzip, json, statistics as st, sys, time
import numpy as np, onnx, torch, torch.nn.functional as F
from onnx import numpy_helper

path, images, labels = sys.argv[1:4]; threads = int(sys.argv[4]) if len(sys.argv) > 4 else 1
torch.set_num_threads(threads); torch.manual_seed(0)
x = np.frombuffer(gzip.open(images).read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)[:256]
x = torch.tensor((x / 255. - .2860) / .3530, dtype=torch.float32)
y = torch.tensor(np.frombuffer(gzip.open(labels).read(), np.uint8, offset=8)[:256].astype(np.int64))
g = onnx.load(path).graph
par = {t.name: torch.tensor(np.array(numpy_helper.to_array(t))) for t in g.initializer}
weights = [n.input[1] for n in g.node if n.op_type in ('Conv', 'Gemm')]
for w in weights: par[w].requires_grad_(True)

def run(x):
    v = dict(par); v[g.input[0].name] = x
    for n in g.node:
        a = {q.name: onnx.helper.get_attribute_value(q) for q in n.attribute}; i = [v[k] if k else None for k in n.input]; o = n.op_type
        if o == 'Conv': r = F.conv2d(F.pad(i[0], (a['pads'][1], a['pads'][3], a['pads'][0], a['pads'][2])), i[1], i[2] if len(i) > 2 else None, a.get('strides', [1, 1]), 0, a.get('dilations', [1, 1]), a.get('group', 1))
        elif o == 'Relu': r = F.relu(i[0])
        elif o == 'Clip': r = torch.clamp(i[0], float(i[1]), float(i[2]))
        elif o == 'Add': r = i[0] + i[1]
        elif o == 'GlobalAveragePool': r = i[0].mean((2, 3), keepdim=True)
        elif o == 'AveragePool': r = F.avg_pool2d(i[0], a['kernel_shape'], a.get('strides'))
        elif o == 'ReduceMean': r = i[0].mean(tuple(a['axes']), keepdim=bool(a.get('keepdims', 1)))
        elif o == 'Flatten': r = i[0].flatten(a.get('axis', 1))
        elif o == 'Gemm': r = F.linear(i[0], i[1] if a.get('transB') else i[1].t(), i[2])
        elif o == 'Constant': r = torch.tensor(np.array(numpy_helper.to_array(a['value'])))
        elif o == 'Identity': r = i[0]
        else: sys.exit('op ' + o)
        v[n.output[0]] = r
    return v[g.output[0].name]

W = [par[w] for w in weights]
def seconds(f, n=9):
    f(); t = []
    for _ in range(n): a = time.perf_counter(); f(); t.append(time.perf_counter() - a)
    return st.median(t)
def forward():
    with torch.no_grad(): F.cross_entropy(run(x), y)
fwd = seconds(forward); grad = seconds(lambda: torch.autograd.grad(F.cross_entropy(run(x), y), W))
G = torch.autograd.grad(F.cross_entropy(run(x), y), W, create_graph=True)
def probe(some):
    v = [torch.randint(0, 2, W[l].shape).float() * 2 - 1 for l in some]
    H = torch.autograd.grad([G[l] for l in some], [W[l] for l in some], grad_outputs=v, retain_graph=True)
    return [float((a * b).sum()) for a, b in zip(H, v)]
def deviation(values): return np.std(values, 0, ddof=1) / np.abs(np.mean(values, 0))
every = range(len(W))
hvp = seconds(lambda: probe(every))
layer_hvp = st.mean(seconds(lambda: probe([l]), 3) for l in every)
together = deviation([probe(every) for _ in range(40)])
alone = [float(deviation([probe([l])[0] for _ in range(40)])) for l in every]
print(json.dumps(dict(model=path.split('/')[-1], batch=256, threads=threads, forward_s=fwd, gradient_s=grad, hvp_s=hvp, layer_hvp_s=layer_hvp,
                      relative_deviation_all_layers=[round(float(r), 3) for r in together], relative_deviation_one_layer=[round(r, 3) for r in alone])))
