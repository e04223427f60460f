// ONNX Runtime as the peer of bench_infer: the same commands and answers (infer_bench.cc has them).
//
//   node infer_onnxruntime.cjs NODE_MODULES MODEL.onnx THREADS
"use strict";
const fs = require("fs");
const path = require("path");
const readline = require("readline");

const [modules, model, threads] = process.argv.slice(2);
const runtime = require(path.resolve(modules, "onnxruntime-node"));

let session = null;
let feeds = null;
let fedShape = "";

// Numbers of [-1, 1), the same as in the other program.
function input(shape) {
  if (shape === fedShape) return feeds;
  const extents = shape.split("x").map(Number);
  const values = new Float32Array(extents.reduce((a, b) => a * b, 1));
  for (let i = 0; i < values.length; ++i) values[i] = (Math.imul(i, 2654435761) >>> 0) / 2147483648 - 1;
  feeds = { [session.inputNames[0]]: new runtime.Tensor("float32", values, extents) };
  fedShape = shape;
  return feeds;
}

async function answer([command, shape, fewest, limit]) {
  if (command === "memory") {
    const status = fs.readFileSync("/proc/self/status", "utf8");
    return { bytes: 1024 * Number(/VmHWM:\s*(\d+)/.exec(status)[1]) };
  }
  if (command === "version") return { version: require(path.resolve(modules, "onnxruntime-node/package.json")).version };
  if (command === "load") {
    const begin = performance.now();
    session = await runtime.InferenceSession.create(model, {
      executionProviders: ["cpu"],
      graphOptimizationLevel: "all",
      executionMode: "sequential",
      intraOpNumThreads: Number(threads),
      interOpNumThreads: 1,
    });
    return { seconds: (performance.now() - begin) / 1000 };
  }
  const given = input(shape);
  if (command === "answer") {
    const outputs = await session.run(given);
    return { values: Array.from(outputs[session.outputNames[0]].data.slice(0, 16)) };
  }
  const seconds = [];
  const start = performance.now();
  while (seconds.length < Number(fewest) || performance.now() - start < 1000 * Number(limit)) {
    const begin = performance.now();
    await session.run(given);
    seconds.push((performance.now() - begin) / 1000);
  }
  return { seconds };
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin }))
    process.stdout.write(JSON.stringify(await answer(line.split(" "))) + "\n");
})();
