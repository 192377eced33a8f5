"""Requests of every shape, for property-based tests."""

from hypothesis import strategies as st

from sdxl_lora.request import MAX_COUNT, MAX_SEED, MAX_STEPS, MAX_TIMESTEP, GenerationRequest, LoraSpec

# no control characters and no lone surrogates, which are refused
WORDS = st.text(
    st.one_of(
        st.sampled_from("{}|\\_,:()<>\"' aN"),
        st.characters(exclude_categories=("Cc", "Cs"), max_codepoint=0x2FFF),
    ),
    max_size=40,
)
_NAMES = st.text("abcXYZ019 ._-/", min_size=1, max_size=20).filter(str.strip)
_SIDES = st.none() | st.integers(8, 512).map(lambda side: side * 8)
_LORAS = st.builds(LoraSpec, path=_NAMES, weight=st.floats(-10, 10), sha256=st.just("") | st.just("ab" * 32))

REQUESTS = st.builds(
    GenerationRequest,
    prompt=WORDS.filter(str.strip),
    negative_prompt=WORDS,
    model=_NAMES,
    loras=st.lists(_LORAS, max_size=3).map(tuple),
    steps=st.none() | st.integers(1, MAX_STEPS),
    guidance=st.none() | st.floats(0, 30),
    guidance_end=st.none() | st.floats(0, 1),
    cleanup_timestep=st.none() | st.integers(0, MAX_TIMESTEP),
    seed=st.none() | st.integers(0, MAX_SEED),
    count=st.integers(1, MAX_COUNT),
    width=_SIDES,
    height=_SIDES,
    precision=st.sampled_from(["auto", "fp32", "bf16", "int8"]),
    engine=st.sampled_from(["auto", "torch", "openvino"]),
    scheduler=st.none() | _NAMES,
    sketch_steps=st.none() | st.just(0) | st.integers(2, MAX_STEPS),
    recolour=st.sampled_from(["", "#1F2A44"]),
    background=st.sampled_from(["", "white", "transparent", "#FFFFFF", "ab" * 32]),
    fill=st.just(0) | st.integers(10, 100),
    shadow=st.booleans(),
    product=st.sampled_from(["", "cd" * 32]),
    detail=st.floats(0, 1),
    upscale=st.sampled_from([1, 2, 4]),
    template=st.just("") | _NAMES,
    slots=st.lists(st.tuples(_NAMES, WORDS), max_size=3).map(tuple),
    start_picture=st.just("") | st.just("ef" * 32),
    strength=st.none() | st.floats(0, 1),
    mask=st.just("") | st.just("0a" * 32),
    mask_feather=st.none() | st.integers(0, 512),
    made_from=st.just("") | _NAMES,
    brand=st.just("") | _NAMES,
    sku=st.just("") | _NAMES,
    logo_cue=st.sampled_from(["none", "controlnet", "ip-adapter", "both"]),
    controlnet_conditioning_scale=st.floats(0, 2),
    ip_adapter_scale=st.floats(0, 1),
    controlnet=st.just("") | _NAMES,
    ip_adapter=st.just("") | _NAMES,
    controlnet_sha256=st.just("") | st.just("12" * 32),
    ip_adapter_sha256=st.just("") | st.just("34" * 32),
    model_sha256=st.just("") | st.just("cd" * 32),
)
