"""From a folder of images and labels to a bundle: fingerprint, checks, plan, and the bundle that is written."""
