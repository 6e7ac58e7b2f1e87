"""HTTP as every contract uses it: parameters in, bodies out, calls described, refusals as problem documents."""
