"""Optimisers over ten steps from given gradients, schedules, and gradient clipping.

Optimiser cases (ops sgd, adam, adamw): `groups` lists the parameter groups, each with the indices
of its parameters under `params` and the options that differ from the case's `defaults`. Parameter
i has `p<i>` (start), `grads_p<i>` (one gradient per step, stacked in front) and `steps_p<i>`
(its value after each step, stacked). `lrs`, where present, is the rate set before each step.

Schedule cases (op schedule): `lrs[g][t]` is the rate of group g used in step t, that is, after t
calls of scheduler.step(); `momentums` likewise (beta1 for Adam). They are doubles; PyTorch gets
them by recursion, so closed forms agree to about 1e-12.

Clipping cases: g0, g1, ... in; clipped_g0, ... and total_norm out.
"""

import warnings

import torch

STEPS = 10
OPTIMISERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
SHAPES = [(4, 3, 2), (5,), (2, 2)]


def _optimiser(topic, name, op, defaults, groups=None, lrs=None, gradient_scale=1.0):
    groups = groups or [{"params": list(range(len(SHAPES)))}]
    start = [topic.normal(*shape) for shape in SHAPES]
    grads = [topic.normal(STEPS, *shape, scale=gradient_scale) for shape in SHAPES]
    grads[0].view(STEPS, -1)[:, 0] = 0.0  # a parameter that never gets a gradient
    parameters = [p.double().requires_grad_(True) for p in start]
    filled = [{**g, "params": [parameters[i] for i in g["params"]]} for g in groups]
    optimiser = OPTIMISERS[op](filled, **defaults)
    history = [[] for _ in parameters]
    for step in range(STEPS):
        if lrs is not None:
            for group in optimiser.param_groups:
                group["lr"] = lrs[step]
        for p, g in zip(parameters, grads):
            p.grad = g[step].double()
        optimiser.step()
        for p, values in zip(parameters, history):
            values.append(p.detach().clone())
    tensors = {}
    for i, values in enumerate(history):
        tensors.update({f"p{i}": start[i], f"grads_p{i}": grads[i],
                        f"steps_p{i}": torch.stack(values)})
    info = {"defaults": defaults, "groups": groups, "steps": STEPS}
    if lrs is not None:
        info["lrs"] = lrs
    topic.add(name, op, info, tensors)


def _optimisers(topic):
    add = lambda name, op, *a, **k: _optimiser(topic, name, op, *a, **k)
    add("sgd", "sgd", {"lr": 0.1})
    add("sgd_momentum", "sgd", {"lr": 0.1, "momentum": 0.9})
    add("sgd_dampening", "sgd", {"lr": 0.1, "momentum": 0.9, "dampening": 0.4})
    add("sgd_nesterov", "sgd", {"lr": 0.1, "momentum": 0.9, "nesterov": True})
    add("sgd_weight_decay", "sgd", {"lr": 0.1, "weight_decay": 0.05})
    add("sgd_all", "sgd", {"lr": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.01})
    add("sgd_dampening_weight_decay", "sgd",
        {"lr": 0.05, "momentum": 0.8, "dampening": 0.2, "weight_decay": 0.1})
    add("sgd_maximize", "sgd",
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "maximize": True})
    add("sgd_changing_rate", "sgd", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01},
        lrs=[0.1 * 0.7**step for step in range(STEPS)])
    add("sgd_groups", "sgd", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01},
        [{"params": [0, 2]}, {"params": [1], "lr": 0.01, "weight_decay": 0.0, "momentum": 0.5}])
    for op in ("adam", "adamw"):
        add(op, op, {"lr": 0.01})
        add(f"{op}_betas", op, {"lr": 0.01, "betas": [0.5, 0.7]})
        add(f"{op}_eps", op, {"lr": 0.01, "eps": 1e-2})
        add(f"{op}_weight_decay", op, {"lr": 0.02, "weight_decay": 0.1})
        add(f"{op}_no_weight_decay", op, {"lr": 0.02, "weight_decay": 0.0})
        add(f"{op}_amsgrad", op, {"lr": 0.02, "amsgrad": True, "betas": [0.9, 0.5]})
        add(f"{op}_amsgrad_weight_decay", op,
            {"lr": 0.02, "amsgrad": True, "betas": [0.8, 0.6], "weight_decay": 0.2})
        add(f"{op}_maximize", op, {"lr": 0.01, "weight_decay": 0.1, "maximize": True})
        add(f"{op}_tiny_gradients", op, {"lr": 0.01}, gradient_scale=1e-7)
        add(f"{op}_changing_rate", op, {"lr": 0.01, "weight_decay": 0.05},
            lrs=[0.01 * (step + 1) / STEPS for step in range(STEPS)])
        add(f"{op}_groups", op, {"lr": 0.02, "weight_decay": 0.1},
            [{"params": [1], "lr": 0.001, "betas": [0.8, 0.9]},
             {"params": [0, 2], "weight_decay": 0.0, "eps": 1e-4}])


def _schedule(topic, name, kind, make, options, steps=40, rates=(0.1,), optimiser="sgd"):
    """`make` builds the scheduler from an optimiser; `options` describe it in the case."""
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in rates]
    base = {"sgd": {"lr": 0.1, "momentum": 0.9}, "adam": {"lr": 0.1}}[optimiser]
    opt = OPTIMISERS[optimiser](groups, **base)
    scheduler = make(opt)
    lrs, momentums = [[] for _ in groups], [[] for _ in groups]
    for step in range(steps):
        for g, group in enumerate(opt.param_groups):
            lrs[g].append(float(group["lr"]))
            momentums[g].append(float(group["betas"][0] if "betas" in group
                                      else group["momentum"]))
        opt.step()
        if step + 1 < steps:
            scheduler.step()
    info = {"kind": kind, **options, "base_lrs": list(rates), "optimiser": optimiser, "lrs": lrs}
    if kind == "OneCycleLR":
        info["momentums"] = momentums
    topic.add(name, "schedule", info, {})


def _schedules(topic):
    lr = torch.optim.lr_scheduler

    def simple(name, kind, options, **rest):
        make = lambda opt: getattr(lr, kind)(opt, **options)
        _schedule(topic, name, kind, make, options, **rest)

    simple("step_lr", "StepLR", {"step_size": 7, "gamma": 0.1})
    simple("step_lr_each", "StepLR", {"step_size": 1, "gamma": 0.9})
    simple("step_lr_groups", "StepLR", {"step_size": 10, "gamma": 0.5}, rates=(0.1, 0.02))
    simple("multi_step_lr", "MultiStepLR", {"milestones": [5, 12, 30], "gamma": 0.1})
    simple("multi_step_lr_repeated", "MultiStepLR", {"milestones": [3, 3, 20], "gamma": 0.5},
           rates=(0.3, 0.2))
    simple("cosine", "CosineAnnealingLR", {"T_max": 39, "eta_min": 0.0})
    simple("cosine_eta_min", "CosineAnnealingLR", {"T_max": 25, "eta_min": 0.01}, steps=26,
           rates=(0.1, 0.05))
    simple("cosine_beyond_end", "CosineAnnealingLR", {"T_max": 10, "eta_min": 0.001}, steps=35)
    simple("linear", "LinearLR", {"start_factor": 0.25, "end_factor": 1.0, "total_iters": 8})
    simple("linear_default", "LinearLR",
           {"start_factor": 1.0 / 3, "end_factor": 1.0, "total_iters": 5})
    simple("linear_down", "LinearLR", {"start_factor": 1.0, "end_factor": 0.1, "total_iters": 20},
           rates=(0.1, 1.0))
    one_cycle = {
        "one_cycle": {"max_lr": 0.1, "total_steps": 40},
        "one_cycle_linear": {"max_lr": 0.5, "total_steps": 40, "anneal_strategy": "linear"},
        "one_cycle_pct": {"max_lr": 0.2, "total_steps": 33, "pct_start": 0.1, "div_factor": 10.0,
                          "final_div_factor": 100.0},
        "one_cycle_three_phase": {"max_lr": 0.1, "total_steps": 40, "pct_start": 0.25,
                                  "three_phase": True},
        "one_cycle_three_phase_linear": {"max_lr": 0.1, "total_steps": 37, "pct_start": 0.4,
                                         "three_phase": True, "anneal_strategy": "linear"},
        "one_cycle_momentum": {"max_lr": 0.1, "total_steps": 30, "base_momentum": 0.5,
                               "max_momentum": 0.99},
        "one_cycle_no_momentum": {"max_lr": 0.1, "total_steps": 30, "cycle_momentum": False},
        "one_cycle_epochs": {"max_lr": 0.1, "epochs": 4, "steps_per_epoch": 9},
        "one_cycle_short": {"max_lr": 0.1, "total_steps": 5},
    }
    for name, options in one_cycle.items():
        steps = options.get("total_steps") or options["epochs"] * options["steps_per_epoch"]
        for optimiser in ("sgd", "adam"):
            simple(name if optimiser == "sgd" else f"{name}_adam", "OneCycleLR", options,
                   steps=steps, optimiser=optimiser)
    simple("one_cycle_groups", "OneCycleLR", {"max_lr": [0.1, 0.02], "total_steps": 30}, steps=30,
           rates=(0.1, 0.1))
    for name, warm_up, start, t_max, eta_min in [("warm_up_cosine", 5, 0.01, 35, 0.0),
                                                 ("warm_up_cosine_eta_min", 10, 0.5, 29, 1e-4),
                                                 ("warm_up_one_step", 1, 0.1, 20, 0.0)]:
        first = {"kind": "LinearLR", "start_factor": start, "end_factor": 1.0,
                 "total_iters": warm_up}
        second = {"kind": "CosineAnnealingLR", "T_max": t_max, "eta_min": eta_min}
        strip = lambda options: {k: v for k, v in options.items() if k != "kind"}
        make = lambda opt: lr.SequentialLR(
            opt, [lr.LinearLR(opt, **strip(first)), lr.CosineAnnealingLR(opt, **strip(second))],
            milestones=[warm_up])
        _schedule(topic, name, "SequentialLR", make,
                  {"schedulers": [first, second], "milestones": [warm_up]},
                  steps=warm_up + t_max + 1, rates=(0.1, 0.03))


def _clipping(topic):
    shapes = [(3, 4), (5,), (2, 2, 2)]
    for max_norm in (0.5, 1.0, 100.0):
        for norm_type in (2.0, 1.0, 3.0, float("inf")):
            grads = [topic.normal(*shape) for shape in shapes]
            leaves = [torch.nn.Parameter(torch.zeros_like(g, dtype=torch.float64)) for g in grads]
            for p, g in zip(leaves, grads):
                p.grad = g.double()
            total = torch.nn.utils.clip_grad_norm_(leaves, max_norm, norm_type)
            label = "inf" if norm_type == float("inf") else int(norm_type)
            tensors = {f"g{i}": g for i, g in enumerate(grads)}
            tensors.update({f"clipped_g{i}": p.grad for i, p in enumerate(leaves)})
            tensors["total_norm"] = total
            topic.add(f"clip_grad_norm_{max_norm}_type{label}".replace(".", "_"),
                      "clip_grad_norm", {"max_norm": max_norm, "norm_type": str(label),
                                         "k": sum(g.numel() for g in grads)}, tensors)
    for clip_value in (0.1, 0.75, 10.0):
        grads = [topic.normal(*shape) for shape in shapes]
        leaves = [torch.nn.Parameter(torch.zeros_like(g, dtype=torch.float64)) for g in grads]
        for p, g in zip(leaves, grads):
            p.grad = g.double()
        torch.nn.utils.clip_grad_value_(leaves, clip_value)
        tensors = {f"g{i}": g for i, g in enumerate(grads)}
        tensors.update({f"clipped_g{i}": p.grad for i, p in enumerate(leaves)})
        topic.add(f"clip_grad_value_{clip_value}".replace(".", "_"), "clip_grad_value",
                  {"clip_value": clip_value}, tensors)


def build(topic):
    _optimisers(topic)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SequentialLR itself calls step() in the old manner
        _schedules(topic)
    _clipping(topic)
