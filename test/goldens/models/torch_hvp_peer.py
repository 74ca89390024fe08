"""The peer for speed: Hessian-vector products of resnet8.onnx / dscnn.onnx by PyTorch's double backward, as PyHessian does it.

    python3 torch_hvp_peer.py ../../../experiments/models/resnet8.onnx ../../../experiments/data/fashion-mnist/t10k-images-idx3-ubyte.gz ../../../experiments/data/fashion-mnist/t10k-labels-idx1-ubyte.gz [threads]

Needs Debian's python3-torch and python3-onnx. Prints JSON: seconds for forward, forward+gradient, one HVP with respect to all
weights (graph kept), and the seconds plain Hutchinson would need for 1.5 % standard error in every layer (relative deviation per
probe measured over 40 probes, all layers from one HVP)."""
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
def probe():
    v = [torch.randint(0, 2, w.shape).float() * 2 - 1 for w in W]
    return [float((a * b).sum()) for a, b in zip(torch.autograd.grad(G, W, grad_outputs=v, retain_graph=True), v)]
hvp = seconds(probe); P = np.array([probe() for _ in range(40)]); rel = P.std(0, ddof=1) / np.abs(P.mean(0))
print(json.dumps(dict(model=path.split('/')[-1], batch=256, threads=threads, forward_s=fwd, gradient_s=grad, hvp_s=hvp, layers=len(W),
                      relative_deviation_per_probe=[round(float(r), 3) for r in rel], probes_for_1_5_percent_worst_layer=int((rel.max() / .015) ** 2), seconds_for_1_5_percent_worst_layer=float(hvp * (rel.max() / .015) ** 2),
                      probes_median_layer=int((np.median(rel) / .015) ** 2), seconds_median_layer=float(hvp * (np.median(rel) / .015) ** 2))))
