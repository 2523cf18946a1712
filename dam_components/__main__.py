from dam_components.cli import main

if __name__ == "__main__":
    main()
