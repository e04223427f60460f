// Runs ONNX files with ONNX Runtime (onnxruntime-node), for tools/check-export.
//
// Of each line {"model": FILE, "input": FILE.npy, "output": FILE} on standard input the first
// output goes, as plain float32, to the output's file; the answer is a line {"shape": [...]}, or
// {"error": TEXT}.
const fs = require('fs');
const readline = require('readline');
const ort = require('onnxruntime-node');

// A float32 array in C order, as convkit writes it.
function readNpy(path) {
  const bytes = fs.readFileSync(path);
  const length = bytes.readUInt16LE(8);
  const header = bytes.toString('latin1', 10, 10 + length);
  const shape = header.match(/'shape': \(([^)]*)\)/)[1];
  if (!header.includes("'<f4'")) throw new Error(`${path} is not float32: ${header}`);
  return {
    data: new Float32Array(new Uint8Array(bytes.subarray(10 + length)).buffer),
    shape: shape.split(',').filter((extent) => extent.trim() !== '').map(Number),
  };
}

async function run(job) {
  const session = await ort.InferenceSession.create(job.model);
  const input = readNpy(job.input);
  const tensor = new ort.Tensor('float32', input.data, input.shape);
  const results = await session.run({[session.inputNames[0]]: tensor});
  const output = results[session.outputNames[0]];
  const {buffer, byteOffset, byteLength} = output.data;
  fs.writeFileSync(job.output, Buffer.from(buffer, byteOffset, byteLength));
  await session.release();
  return {shape: output.dims};
}

(async () => {
  ort.env.logLevel = 'error';
  for await (const line of readline.createInterface({input: process.stdin})) {
    let answer;
    try {
      answer = await run(JSON.parse(line));
    } catch (error) {
      answer = {error: String(error.message || error)};
    }
    process.stdout.write(JSON.stringify(answer) + '\n');
  }
})();
