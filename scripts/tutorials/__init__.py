"""What the tutorials' models are trained on and asked: each module is a small grammar; splits and training are shared by them."""
