"""Counterfactuals of the phase: what would have to change in a slice for the model to answer otherwise?

    view         what a generator sees of a slice: one channel, a fixed field, a fixed window
    predictor    the model that is explained, as a function from slices to logits; nothing else of it is used
    regions      which part of the body a slice shows: each has directions of its own
    cloud        the latents that the generator knows: their centre and spread, and how far from them a latent lies
    directions   along which latent directions the model's answer changes
    fitting      cloud and directions of a trained generator, for one model
    model        a generator's bundle and the model it explains, ready to be asked
    inversion    a slice as a latent, or the reason why not
    walk         a slice moved along a direction, step by step, with the model's answer to each step
    fidelity     how far a walk can be trusted, in figures
    series       the walks of one acquisition

After Schutte et al., "Using StyleGAN for Visual Interpretability of Deep Learning Models on Medical Images" (2021).
"""
