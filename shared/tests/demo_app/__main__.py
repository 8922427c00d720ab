from demo_app.cli import main

main()
